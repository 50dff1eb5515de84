-- Who touched an organization's data: each person, route and outcome, how often, when first and last
--: organization text required: the organization's key
SELECT coalesce(actor, actor_role, 'not named') AS actor, acting_organization, event_code, operation, outcome, count(*) AS times,
  min("time") AS first_seen, max("time") AS last_seen, min(sequence) AS first_sequence, max(sequence) AS last_sequence
FROM domicile_index.event
WHERE "time" >= $1::timestamptz AND "time" < $2::timestamptz AND organization = $3::text
GROUP BY 1, 2, 3, 4, 5
ORDER BY last_seen DESC
