-- The casino: players, their wallets, dice bets. Amounts are whole cents.

create table casino_players (
    id            uuid primary key,
    username      text not null unique,
    email         text not null unique,
    password_hash text not null,
    created_at    timestamptz not null default now()
);

create table casino_wallets (
    player_id uuid primary key references casino_players (id) on delete cascade,
    balance   bigint not null check (balance >= 0),
    bets      bigint not null default 0
);

create table casino_sessions (
    token_hash text primary key,
    player_id  uuid not null references casino_players (id) on delete cascade,
    expires_at timestamptz not null
);
create index casino_sessions_player on casino_sessions (player_id);

-- A bet is decided when it is placed; what was won is paid out by the settlement queue.
create table casino_bets (
    id         bigint generated always as identity primary key,
    player_id  uuid not null references casino_players (id) on delete cascade,
    amount     bigint not null check (amount > 0),
    target     int not null check (target between 2 and 98),
    roll       int not null check (roll between 0 and 99),
    payout     bigint not null,
    placed_at  timestamptz not null default now(),
    settled_at timestamptz
);
create index casino_bets_of_a_player on casino_bets (player_id, id desc);
create index casino_bets_unsettled on casino_bets (id) where settled_at is null;
