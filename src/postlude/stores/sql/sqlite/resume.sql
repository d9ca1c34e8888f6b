DELETE FROM pauses WHERE kind = :kind AND name = :name AND partition = :partition
