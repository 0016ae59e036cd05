/** The demonstration counts each error of a client: none may be of the application's own making. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import mysql from 'mysql2/promise'
import { testServer } from '../../test/kit/servers.ts'
import { updateSql } from './application.ts'
import { createTable, database, seedColumns, seedRow, table, userOf } from './workload.ts'

test('an update locks its own row only: operations on one user at once are no deadlock', async () => {
  await using server = await testServer()
  const [one, other] = await Promise.all([mysql.createConnection(server.config), mysql.createConnection(server.config)])
  try {
    await one.query(`CREATE DATABASE ${database}`)
    await one.query(`USE ${database}`)
    await one.query(createTable)
    const user = userOf(1)
    await one.query(`INSERT INTO ${table} ${seedColumns} VALUES ${seedRow(1)}`)
    await other.query(`USE ${database}`)
    await other.query('SET SESSION innodb_lock_wait_timeout = 1')
    await one.beginTransaction()
    await one.query(`INSERT INTO ${table} (user_id, exercise, reps, weight_kg, note, op) VALUES (?, 'row', 1, '1.00', NULL, 7)`, [user])
    // The other would wait here for the row just inserted (1205), holding the one that the first is about to update.
    const [result] = await other.query(updateSql, [9, user, -1, 0])
    assert.equal((result as { affectedRows?: number }).affectedRows, 1)
    await one.query(updateSql, [8, user, -1, 1])
    await one.commit()
  } finally {
    one.destroy()
    other.destroy()
  }
})
