INSERT INTO {schema}.logs (job, total_lines, total_bytes, lines)
SELECT moved.* FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::text[]) AS moved
