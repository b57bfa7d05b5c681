-- What `fleet.yaml` and `fleet-wrong.yaml` are checked against.
CREATE TYPE platform AS ENUM ('linux', 'windows', 'darwin');
CREATE TABLE teams (id text PRIMARY KEY, name text NOT NULL);
CREATE TABLE sites (id text PRIMARY KEY);
CREATE TABLE agents (
    id         text NOT NULL,
    name       varchar(16) NOT NULL UNIQUE,
    hostname   text NOT NULL,
    status     text NOT NULL,
    os         platform NOT NULL,
    cores      int CHECK (cores BETWEEN 1 AND 64),
    team_id    text NOT NULL REFERENCES teams,
    site_id    text REFERENCES sites,
    region     text NOT NULL,
    last_seen  timestamptz,
    id_of_host bigint GENERATED ALWAYS AS (length(hostname)) STORED
);
CREATE UNIQUE INDEX agents_live ON agents (id) WHERE status <> 'Gone';
CREATE TABLE audit (id text PRIMARY KEY, what text NOT NULL);
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''the audit trail is append-only''; END';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION append_only();
INSERT INTO teams VALUES ('t-platform', 'Platform');
INSERT INTO sites VALUES ('s-1');
INSERT INTO agents (id, name, hostname, status, os, team_id, site_id, region)
    SELECT 'own-' || n, 'own-' || n, 'h-' || n, 'Online', 'linux', 't-platform', 's-1', 'eu-west'
    FROM generate_series(1, 20) n;
