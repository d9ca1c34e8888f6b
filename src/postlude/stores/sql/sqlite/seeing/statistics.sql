SELECT moment, task, measure, times FROM statistics WHERE step = ? AND moment >= ?
