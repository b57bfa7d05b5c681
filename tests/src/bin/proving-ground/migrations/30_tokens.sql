-- API tokens. `token_hash` is the lower-case hex of sha256(pepper || token).

create table api_tokens (
    id                uuid primary key default gen_random_uuid(),
    token_hash        text not null unique,
    name              text not null,
    scopes            text[] not null default '{}',
    source_system     text,
    inbound_resources text[] not null default '{}',
    expires_at        timestamptz,
    created_at        timestamptz not null default now()
);
