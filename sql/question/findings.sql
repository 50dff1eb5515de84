-- What checks and rules found, the latest of each first
SELECT DISTINCT ON (operation, resource) operation AS control, resource, outcome, reason, severity_id, "time" AS last_seen, sequence
FROM domicile_index.event
WHERE "time" >= $1::timestamptz AND "time" < $2::timestamptz AND event_code IN ('finding', 'detection') AND outcome <> 'allowed'
ORDER BY operation, resource, "time" DESC
