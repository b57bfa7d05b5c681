-- 5,000 agents, all online, in the manner of a hand-written seed.
INSERT INTO agents (id, name, hostname, status, last_heartbeat_at, created_at, os, architecture, ip_address, version)
SELECT
    'ag-' || lpad(g::text, 5, '0'),
    'agent-' || lpad(g::text, 5, '0'),
    format('agent-%s.fleet.example.test', lpad(g::text, 5, '0')),
    'Online',
    NOW() - ((g % 60) || ' seconds')::interval,
    NOW() - (g % 90 + 1) * interval '1 day',
    CASE (g % 10) WHEN 0 THEN 'windows' WHEN 1 THEN 'darwin' ELSE 'linux' END,
    CASE WHEN (g % 5) = 0 THEN 'arm64' ELSE 'amd64' END,
    '10.42.' || ((g / 256) % 256)::text || '.' || (g % 256)::text,
    '2.1.0'
FROM generate_series(1, 5000) AS g
ON CONFLICT (id) DO NOTHING;
