-- What other systems push into this one: one table for each resource, found together as `inbound_documents`.

create sequence inbound_document_id;
create table inbound_documents (
    resource      text not null,
    id            bigint not null default nextval('inbound_document_id'),
    source_system text not null references inbound_source_systems_allowlist (source_system),
    external_id   text not null,
    -- What people know it by: an order's number, an item's SKU.
    business_key  text not null,
    version       bigint not null,
    canonical     jsonb not null,
    payload       jsonb not null,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz,
    primary key (resource, id),
    unique (resource, source_system, external_id),
    unique (resource, source_system, business_key)
) partition by list (resource);
create table sales_orders    partition of inbound_documents for values in ('sales_orders');
create table items           partition of inbound_documents for values in ('items');
create table customers       partition of inbound_documents for values in ('customers');
create table vendors         partition of inbound_documents for values in ('vendors');
create table purchase_orders partition of inbound_documents for values in ('purchase_orders');

alter table api_tokens add column mapping_override boolean not null default false;

-- A newer version takes an older one's place, the same again changes nothing, and what contradicts is told by its kind.
-- What changed is in the audit log with it, or neither is.
create function inbound_push(
    resource text, system text, ext text, key text, ver bigint, doc jsonb, sent jsonb, actor text, fork boolean,
    out outcome text, out id bigint, out current bigint
) language plpgsql as $$
declare
    same boolean;
begin
    perform set_config('audit_log.fork', fork::text, true);
    insert into inbound_documents as d (resource, source_system, external_id, business_key, version, canonical, payload)
    values (inbound_push.resource, system, ext, key, ver, doc, sent)
    on conflict do nothing returning d.id, d.version into id, current;
    if found then
        outcome := 'created';
    else
        select d.id, d.version, d.payload = sent into id, current, same
        from inbound_documents d
        where d.resource = inbound_push.resource and d.source_system = system and d.external_id = ext
        for update;
        outcome := case
            when not found then 'duplicate_key'
            when ver = current and same then 'unchanged'
            when ver = current then 'version_conflict'
            when ver < current then 'stale_version'
            else 'updated'
        end;
        if outcome = 'updated' then
            update inbound_documents d
            set version = ver, business_key = key, canonical = doc, payload = sent, updated_at = now()
            where d.resource = inbound_push.resource and d.id = inbound_push.id;
            current := ver;
        end if;
    end if;
    if outcome in ('created', 'updated') then
        insert into audit_log (actor, action, details)
        values (actor, 'inbound.' || inbound_push.resource,
                jsonb_build_object('external_id', ext, 'version', ver, 'outcome', outcome));
    end if;
end $$;
