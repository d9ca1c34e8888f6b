UPDATE jobs SET chain = ? WHERE chain = ?
