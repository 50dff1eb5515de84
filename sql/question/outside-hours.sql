-- Access outside working hours: requests and sign-ins at night and on weekends, by person
--: zone text UTC: the time zone of the working hours, such as America/Toronto
--: opens time 07:00: the working day begins
--: closes time 19:00: and ends
--: organization text -: only of this organization
SELECT organization, coalesce(actor, actor_role, 'not named') AS actor, event_code, count(*) AS times, min("time") AS first_seen,
  max("time") AS last_seen, min(sequence) AS first_sequence, max(sequence) AS last_sequence
FROM domicile_index.event
WHERE "time" >= $1::timestamptz AND "time" < $2::timestamptz AND event_code IN ('request', 'sign_in', 'token_issued')
  AND outcome = 'allowed' AND (("time" AT TIME ZONE $3::text)::time < $4::time OR ("time" AT TIME ZONE $3::text)::time >= $5::time
    OR extract(isodow FROM "time" AT TIME ZONE $3::text) > 5)
  AND ($6::text = '-' OR organization = $6::text)
GROUP BY 1, 2, 3
ORDER BY times DESC
