-- Administrative changes: grants, organizations, policy, configuration, keys and schema
--: kind text -: only this kind, such as grant_changed
SELECT sequence, "time", event_code, operation, organization, coalesce(actor, details ->> 'operator', actor_role) AS actor, subject, resource,
  outcome, details ->> 'ticket' AS ticket, details ->> 'permissions' AS permissions
FROM domicile_index.event
WHERE "time" >= $1::timestamptz AND "time" < $2::timestamptz AND ($3::text = '-' OR event_code = $3::text)
  AND event_code IN ('grant_changed', 'organization_changed', 'policy_changed', 'config_changed', 'key_changed', 'schema_changed')
ORDER BY "time" DESC
