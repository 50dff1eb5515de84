-- Database sessions that did not come through the gateway's logins, and superusers
SELECT details ->> 'user' AS login, details ->> 'database' AS database, details ->> 'application_name' AS application, host(source_ip) AS source_ip,
  details ->> 'superuser' AS superuser, event_code, count(*) AS times, min("time") AS first_seen, max("time") AS last_seen,
  min(sequence) AS first_sequence, max(sequence) AS last_sequence
FROM domicile_index.event
WHERE "time" >= $1::timestamptz AND "time" < $2::timestamptz AND event_code IN ('sql_session', 'sql_statement')
  AND (details ->> 'bypass' = 'true' OR details ->> 'superuser' = 'true')
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY last_seen DESC
