-- The end of the audit log's chain in a row of its own. Writers queue for that row, where people can see them wait;
-- before, they queued for an advisory lock that has no name.

create table audit_log_chain_head (
    single boolean primary key default true check (single),
    hash bytea
);
insert into audit_log_chain_head (hash) values ((select hash from audit_log order by id desc limit 1));

-- `audit_log.fork` is the fault: an entry that follows its predecessor's predecessor, as two writers that do not wait
-- for each other would write it.
create or replace function audit_log_link() returns trigger language plpgsql as $$
begin
    select hash into new.prev_hash from audit_log_chain_head for update;
    new.id := nextval('audit_log_id');
    if current_setting('audit_log.fork', true) = 'true' then
        select prev_hash into new.prev_hash from audit_log order by id desc limit 1;
    end if;
    new.hash := audit_log_hash(new);
    update audit_log_chain_head set hash = new.hash;
    return new;
end $$;

-- The first entry where the chain is broken, or the last when the head does not name it; null when it is whole.
create function verify_audit_log_chain() returns bigint language sql stable as $$
    select coalesce(
        audit_log_broken_at(),
        (select last.id from audit_log_chain_head head
         left join lateral (select id, hash from audit_log order by id desc limit 1) last on true
         where head.hash is distinct from last.hash))
$$;
