-- ACME (RFC 8555): who orders, and what was issued.
create table acme_accounts (
    id         uuid primary key default gen_random_uuid(),
    thumbprint text not null unique,
    point      bytea not null check (length(point) = 65),
    contact    jsonb not null default '[]',
    created_at timestamptz not null default now()
);

create table acme_orders (
    id          uuid primary key default gen_random_uuid(),
    account_id  uuid not null references acme_accounts (id),
    identifiers jsonb not null,
    status      text not null default 'ready' check (status in ('ready', 'valid')),
    certificate text check (certificate is null or status = 'valid'),
    created_at  timestamptz not null default now()
);
create index on acme_orders (account_id);
