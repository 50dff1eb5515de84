-- How many events each hour brought, by kind, with the sequences they have
SELECT date_trunc('hour', "time") AS hour, event_code, count(*) AS times, count(*) FILTER (WHERE outcome <> 'allowed') AS not_allowed,
  min(sequence) AS first_sequence, max(sequence) AS last_sequence
FROM domicile_index.event
WHERE "time" >= $1::timestamptz AND "time" < $2::timestamptz
GROUP BY 1, 2
ORDER BY 1, 2
