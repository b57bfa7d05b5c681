-- The certificate manager: reference tables, certificates, agents.

create table owners (
    id         text primary key,
    name       text not null,
    email      text not null unique,
    created_at timestamptz not null default now()
);

create table teams (
    id         text primary key,
    name       text not null unique,
    created_at timestamptz not null default now()
);

create table issuers (
    id         text primary key,
    name       text not null,
    type       text not null,
    config     jsonb not null default '{}',
    created_at timestamptz not null default now()
);

create table renewal_policies (
    id                  text primary key,
    name                text not null,
    renewal_window_days int not null default 30,
    auto_renew          boolean not null default true,
    created_at          timestamptz not null default now()
);

create table certificate_profiles (
    id                 text primary key,
    name               text not null,
    allowed_algorithms text[] not null default '{ECDSA,RSA}',
    max_ttl_days       int not null default 90,
    created_at         timestamptz not null default now()
);

-- `status` has no CHECK, as in the system this is modelled on: only the application knows that it is
-- Active, Expiring, Expired, RenewalInProgress or Revoked, and that case matters.
create table managed_certificates (
    id                 text primary key,
    name               text not null unique,
    common_name        text not null,
    sans               text[] not null default '{}',
    serial_number      text not null unique,
    fingerprint_sha256 text,
    status             text not null,
    environment        text not null default 'production',
    issuer_id          text not null references issuers (id),
    owner_id           text not null references owners (id),
    team_id            text not null references teams (id),
    renewal_policy_id  text not null references renewal_policies (id),
    profile_id         text references certificate_profiles (id),
    key_algorithm      text not null default 'ECDSA',
    key_size           int not null default 256,
    not_before         timestamptz not null,
    expires_at         timestamptz not null,
    last_renewed_at    timestamptz,
    metadata           jsonb not null default '{}',
    created_at         timestamptz not null default now()
);
create index managed_certificates_status on managed_certificates (status);
create index managed_certificates_expires_at on managed_certificates (expires_at);
create index managed_certificates_issuer on managed_certificates (issuer_id);
create index managed_certificates_owner on managed_certificates (owner_id);
create index managed_certificates_team_status on managed_certificates (team_id, status);
create index managed_certificates_policy on managed_certificates (renewal_policy_id);

create table agents (
    id                text primary key,
    name              text not null unique,
    hostname          text not null,
    status            text not null default 'Offline',
    os                text,
    architecture      text,
    version           text,
    ip_address        text,
    team_id           text references teams (id),
    labels            jsonb not null default '{}',
    last_heartbeat_at timestamptz,
    heartbeat_count   bigint not null default 0,
    created_at        timestamptz not null default now()
);
create index agents_hostname on agents (hostname);
create index agents_status on agents (status);
create index agents_team on agents (team_id);
create index agents_last_heartbeat on agents (last_heartbeat_at);
create index agents_version on agents (version);
create index agents_platform on agents (os, architecture);

insert into owners (id, name, email) values ('o-alice', 'Alice', 'alice@example.test') on conflict do nothing;
insert into teams (id, name) values ('t-platform', 'Platform') on conflict do nothing;
insert into issuers (id, name, type) values ('iss-local', 'Local CA', 'local') on conflict do nothing;
insert into renewal_policies (id, name) values ('rp-standard', 'Standard') on conflict do nothing;
insert into certificate_profiles (id, name) values ('prof-default', 'Default') on conflict do nothing;
