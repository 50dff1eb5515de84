-- Requests for organizations of other regions, by actor tag (a name for one day, of nobody), organization and outcome
--: least integer 1: only tags with at least so many attempts
SELECT coalesce(details ->> 'actor_tag', 'no tag') AS actor_tag, organization, outcome, reason, count(*) AS attempts,
  count(*) FILTER (WHERE outcome = 'allowed') AS allowed, min("time") AS first_seen, max("time") AS last_seen,
  min(sequence) AS first_sequence, max(sequence) AS last_sequence
FROM domicile_index.event
WHERE "time" >= $1::timestamptz AND "time" < $2::timestamptz AND event_code = 'cross_region' AND class_uid = 6003
GROUP BY 1, 2, 3, 4
HAVING count(*) >= $3::integer
ORDER BY attempts DESC
