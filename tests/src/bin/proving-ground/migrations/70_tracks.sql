-- The music platform: tracks, uploads in chunks, a shop.

create table tracks (
    id          uuid primary key,
    title       text not null,
    artist      text not null,
    genre       text not null,
    seconds     int not null check (seconds > 0),
    public      boolean not null default true,
    created_at  timestamptz not null default now()
);
create index tracks_genre on tracks (genre, created_at desc);
create index tracks_created on tracks (created_at desc);

create table track_uploads (
    id           uuid primary key,
    filename     text not null,
    total_chunks int not null check (total_chunks between 1 and 10000),
    total_size   bigint not null check (total_size > 0),
    owner        text not null,
    created_at   timestamptz not null default now()
);

-- A chunk that is sent twice is there once.
create table track_chunks (
    upload_id uuid not null references track_uploads (id) on delete cascade,
    number    int not null,
    size      int not null,
    primary key (upload_id, number)
);

create table products (
    id         uuid primary key,
    title      text not null,
    cents      int not null check (cents >= 0),
    created_at timestamptz not null default now()
);

create table orders (
    id         uuid primary key,
    product_id uuid not null references products (id),
    quantity   int not null check (quantity > 0),
    buyer      text not null,
    created_at timestamptz not null default now()
);
