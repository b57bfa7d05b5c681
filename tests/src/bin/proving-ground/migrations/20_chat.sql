-- The chat backend: accounts, login sessions, conversations.

create table users (
    id            uuid primary key,
    username      text not null unique,
    email         text not null unique,
    password_hash text not null,
    created_at    timestamptz not null default now()
);

create table auth_sessions (
    token_hash text primary key,
    user_id    uuid not null references users (id) on delete cascade,
    csrf_token text not null,
    expires_at timestamptz not null
);
create index auth_sessions_user on auth_sessions (user_id);
create index auth_sessions_expires on auth_sessions (expires_at);

create table chat_sessions (
    id         uuid primary key,
    user_id    uuid not null references users (id) on delete cascade,
    title      text not null,
    created_at timestamptz not null default now()
);
create index chat_sessions_user on chat_sessions (user_id, created_at desc);

create table chat_messages (
    id         uuid primary key,
    session_id uuid not null references chat_sessions (id) on delete cascade,
    role       text not null check (role in ('user', 'assistant')),
    content    text not null,
    created_at timestamptz not null default now()
);
create index chat_messages_session on chat_messages (session_id, created_at);
