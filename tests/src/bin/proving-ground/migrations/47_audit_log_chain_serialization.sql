-- The audit log becomes a hash chain that can only grow.

alter table audit_log add column prev_hash bytea, add column hash bytea;

create function audit_log_hash(entry audit_log) returns bytea language sql stable as $$
    select sha256(convert_to(
        concat_ws('|', encode(entry.prev_hash, 'hex'), entry.id, extract(epoch from entry.at), entry.actor, entry.action, entry.details::text),
        'UTF8'))
$$;

-- Writers wait for each other until commit, or two entries would name the same predecessor. The id is
-- drawn under the same lock, so that the order of ids is the order of the chain.
create function audit_log_link() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(47);
    new.id := nextval('audit_log_id');
    select hash into new.prev_hash from audit_log order by id desc limit 1;
    new.hash := audit_log_hash(new);
    return new;
end $$;
create trigger audit_log_link before insert on audit_log for each row execute function audit_log_link();

create function audit_log_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'audit_log is append-only';
end $$;
create trigger audit_log_append_only before update or delete or truncate on audit_log
    for each statement execute function audit_log_refuse();

-- The id of the first entry that does not follow from its predecessor; null when the chain is whole.
create function audit_log_broken_at() returns bigint language sql stable as $$
    select min(id) from (
        select id, hash is distinct from audit_log_hash(entry)
                or prev_hash is distinct from lag(hash) over (order by id) as broken
        from audit_log entry
    ) links where broken
$$;
