import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '../mysql/connect.ts'
import { readSchema } from '../mysql/introspect.ts'
import { flavours, sharedServer, uniqueName } from '../../test/kit/servers.ts'
import { systemClock } from '../base/clock.ts'
import { jsonNotes } from './json-values.ts'

for (const flavour of flavours().filter((name) => name === 'mysql')) {
  test(`create says which JSON columns of ${flavour} hold bytes that arrive as strings, and where; strings that only look like them, and what arrives as it is, are none`, async () => {
    const server = await sharedServer(flavour)
    await using connection = await connect(server.config)
    const schema = uniqueName('json')
    await connection.query(`CREATE DATABASE ${schema}`)
    await connection.query(`CREATE TABLE ${schema}.t (id INT NOT NULL PRIMARY KEY, some JSON, none JSON)`)
    await connection.query(`CREATE TABLE ${schema}.tiny (b TINYBLOB)`)
    await connection.query(`INSERT INTO ${schema}.tiny VALUES (x'00ff')`)
    for (let id = 1; id <= 3; id++)
      await connection.query(
        `INSERT INTO ${schema}.t SELECT ${id}, JSON_OBJECT('day', CAST('2024-02-29' AS DATE), 'at', JSON_ARRAY(1, b), 'raw', CAST(x'00ff' AS BINARY), 'text', 'base64:type249:YQ=='), JSON_ARRAY('base64:type249:AP8=', 'base64:type252:YQ==', 1.5) FROM ${schema}.tiny`,
      )
    const notes = await jsonNotes(connection, await readSchema(connection, schema), systemClock)
    assert.equal(notes.length, 1, notes.join())
    assert.match(notes[0] ?? '', /^t\.some holds bytes of a TINYBLOB.* within its JSON.* as strings of the same text/)
    assert.match(notes[0] ?? '', /BLOB at \$\."at"\[1\]/)
    assert.doesNotMatch(notes[0] ?? '', /text"|"day"|"raw"|there may be more/)
    // Strings in more documents than are read; the one that is of bytes comes last, at a path of its own.
    await connection.query(`CREATE TABLE ${schema}.u (id INT NOT NULL PRIMARY KEY, j JSON)`)
    const strings = Array.from({ length: 60 }, (_, id) => `(${id}, JSON_OBJECT('at', 'base64:type249:YQ=='))`)
    await connection.query(`INSERT INTO ${schema}.u VALUES ${strings.join(', ')}`)
    await connection.query(`INSERT INTO ${schema}.u SELECT 99, JSON_OBJECT('other', b) FROM ${schema}.tiny`)
    const more = await jsonNotes(connection, await readSchema(connection, schema), systemClock)
    assert.match(more[1] ?? '', /^u\.j was not looked through to its end/)
  })
}
