-- Systems that may push into this one; a token may name one of them.

create table inbound_source_systems_allowlist (
    source_system text primary key,
    note          text,
    created_at    timestamptz not null default now()
);
insert into inbound_source_systems_allowlist (source_system, note) values ('acme-erp', 'demo') on conflict do nothing;
