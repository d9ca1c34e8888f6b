UPDATE keys SET until = ? WHERE job = ?
