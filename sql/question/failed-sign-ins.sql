-- Failed sign-ins by address and person, with what came after
--: least integer 3: only with at least so many failures
SELECT host(source_ip) AS source_ip, coalesce(actor, 'not named') AS actor, organization,
  count(*) FILTER (WHERE outcome <> 'allowed') AS failed, count(*) FILTER (WHERE outcome = 'allowed') AS allowed,
  min("time") FILTER (WHERE outcome <> 'allowed') AS first_failed, max("time") FILTER (WHERE outcome <> 'allowed') AS last_failed,
  max("time") FILTER (WHERE outcome = 'allowed') AS last_allowed, min(sequence) AS first_sequence, max(sequence) AS last_sequence
FROM domicile_index.event
WHERE "time" >= $1::timestamptz AND "time" < $2::timestamptz AND event_code = 'sign_in'
GROUP BY 1, 2, 3
HAVING count(*) FILTER (WHERE outcome <> 'allowed') >= $3::integer
ORDER BY failed DESC
