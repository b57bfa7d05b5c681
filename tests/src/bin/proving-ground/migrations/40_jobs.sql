-- Renewal jobs, at most one queued for a certificate, and the audit log of who asked for what.

create table renewal_jobs (
    id             bigint generated always as identity primary key,
    certificate_id text not null references managed_certificates (id) on delete restrict,
    batch          uuid not null,
    status         text not null default 'Queued',
    requested_by   text not null,
    created_at     timestamptz not null default now()
);
create unique index renewal_jobs_one_queued on renewal_jobs (certificate_id) where status = 'Queued';
create index renewal_jobs_batch on renewal_jobs (batch);

create sequence audit_log_id;
create table audit_log (
    id      bigint primary key default nextval('audit_log_id'),
    at      timestamptz not null default now(),
    actor   text not null,
    action  text not null,
    details jsonb not null default '{}'
);
