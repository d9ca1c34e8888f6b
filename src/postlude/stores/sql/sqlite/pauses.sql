SELECT kind, name, partition, reason, since FROM pauses
