-- A fleet that somebody else made.
CREATE TABLE picks (id text PRIMARY KEY, agent text NOT NULL REFERENCES agents);
INSERT INTO agents (id, name, hostname)
SELECT 'ag-' || i, 'agent ' || i, 'h' || i || '.fleet.example.test' FROM generate_series(1, 60) AS i;
