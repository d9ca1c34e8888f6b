INSERT INTO statistics (step, moment, task, measure, times) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (step, moment, task, measure) DO UPDATE SET times = times + excluded.times
