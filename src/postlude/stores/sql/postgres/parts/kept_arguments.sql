CASE WHEN (policy::json ->> 'keep_arguments') = 'false' AND arguments IS NOT NULL THEN '' ELSE arguments END
