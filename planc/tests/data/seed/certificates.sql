-- 10,000 certificates that expire within 30 days, in the manner of a hand-written seed.
INSERT INTO managed_certificates (
    id, name, common_name, sans, serial_number, status, environment,
    owner_id, team_id, issuer_id, renewal_policy_id,
    not_before, expires_at, metadata, created_at
)
SELECT
    'cert-bulk-' || lpad(g::text, 5, '0'),
    'bulk-' || lpad(g::text, 5, '0') || '.example.test',
    'bulk-' || lpad(g::text, 5, '0') || '.example.test',
    ARRAY['bulk-' || lpad(g::text, 5, '0') || '.example.test'],
    to_char(g, 'FM00000000'),
    'active',
    'loadtest',
    'o-alice',
    't-platform',
    'iss-local',
    'rp-standard',
    now() - interval '1 day',
    -- Spread over the next 30 days.
    NOW() + ((g % 30) || ' days')::interval + ((g % 24) || ' hours')::interval,
    jsonb_build_object('source', 'loadtest', 'batch', 'bulk'),
    NOW()
FROM generate_series(1, 10000) AS g
ON CONFLICT (name) DO NOTHING;

DO $$
BEGIN
    RAISE NOTICE 'certificates seeded';
END $$;
