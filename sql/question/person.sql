-- Everything one person did, newest first
--: actor text required: the person's id
SELECT sequence, "time", organization, event_code, operation, resource, outcome, reason, host(source_ip) AS source_ip, request_id
FROM domicile_index.event
WHERE "time" >= $1::timestamptz AND "time" < $2::timestamptz AND actor = $3::text
ORDER BY "time" DESC
