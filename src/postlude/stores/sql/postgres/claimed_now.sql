SELECT jobs.id FROM {schema}.jobs JOIN unnest($1::uuid[], $2::bigint[]) AS named (id, claim)
    ON jobs.id = named.id AND jobs.claim = named.claim
