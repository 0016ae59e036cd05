import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '../mysql/connect.ts'
import { readSchema } from '../mysql/introspect.ts'
import { flavours, sharedServer, uniqueName } from '../../test/kit/servers.ts'
import { systemClock } from '../base/clock.ts'
import { jsonNotes } from './json-values.ts'

for (const flavour of flavours().filter((name) => name === 'mysql')) {
  test(`create says which JSON columns of ${flavour} hold dates, times or bytes that arrive as strings, and where; strings that only look like them are none`, async () => {
    const server = await sharedServer(flavour)
    await using connection = await connect(server.config)
    const schema = uniqueName('json')
    await connection.query(`CREATE DATABASE ${schema}`)
    await connection.query(`CREATE TABLE ${schema}.t (id INT NOT NULL PRIMARY KEY, some JSON, none JSON)`)
    for (let id = 1; id <= 3; id++)
      await connection.query(
        `INSERT INTO ${schema}.t VALUES (${id}, JSON_OBJECT('day', CAST('2024-02-29' AS DATE), 'at', JSON_ARRAY(1, CAST('10:11:12' AS TIME)), 'raw', CAST(x'00ff' AS BINARY), 'n', CAST('1.50' AS DECIMAL(5,2)), 'text', '2024-02-29'), JSON_ARRAY('2024-02-29', '10:11:12', 'base64:type252:YQ==', 1.5))`,
      )
    const notes = await jsonNotes(connection, await readSchema(connection, schema), systemClock)
    assert.equal(notes.length, 1, notes.join())
    assert.match(notes[0] ?? '', /^t\.some holds values within its JSON .* as strings of the same text/)
    for (const found of [/DATE at \$\."day"/, /TIME at \$\."at"\[1\]/, /BLOB at \$\."raw"/]) assert.match(notes[0] ?? '', found)
    assert.doesNotMatch(notes[0] ?? '', /text"|"n"|there may be more/)
    // Dates as strings in more documents than are read; the one that is a DATE comes last, at a path of its own.
    await connection.query(`CREATE TABLE ${schema}.u (id INT NOT NULL PRIMARY KEY, j JSON)`)
    const strings = Array.from({ length: 60 }, (_, id) => `(${id}, JSON_OBJECT('at', '2024-02-29'))`)
    await connection.query(`INSERT INTO ${schema}.u VALUES ${strings.join(', ')}, (99, JSON_OBJECT('other', CAST('2024-02-29' AS DATE)))`)
    const more = await jsonNotes(connection, await readSchema(connection, schema), systemClock)
    assert.match(more[1] ?? '', /^u\.j was not looked through to its end/)
  })
}
