import { defineErrors } from '../base/errors.ts'

/** What the SQL room says about text that it can't read. `{near}` is the text from where reading stopped. */
export const sqlErrors = defineErrors('SQL', {
  unterminatedString: {
    number: 1,
    class: 'user',
    what: 'a string or quoted name that begins at byte {offset} does not end: {near}',
    why: 'the closing quote is missing, or it is escaped by a backslash',
    fix: 'close the quote; bind values with ? instead of writing them into the text',
  },
  unterminatedComment: {
    number: 2,
    class: 'user',
    what: 'a comment that begins at byte {offset} does not end',
    why: 'the closing */ is missing',
    fix: 'close the comment',
  },
  badByte: {
    number: 3,
    class: 'user',
    what: 'byte {byte} at offset {offset} can stand in no SQL statement outside quotes',
    why: 'a control character, or text in an encoding that is not a superset of ASCII',
    fix: 'send the statement in utf8mb4, latin1 or ascii, with binary values quoted or bound',
  },
  syntax: {
    number: 4,
    class: 'user',
    what: 'the statement could not be read near: {near} (expected {expected})',
    why: 'a mistake in the statement, or a form of SQL that the gate does not read yet (docs/sql.md)',
    fix: 'correct the statement; in an unsharded keyspace it is passed to the server as it is',
  },
  unsupportedStatement: {
    number: 5,
    class: 'user',
    what: 'statements that begin with {construct} are not known to the gate',
    why: 'the gate must know what a statement reads and writes before it can send it to shards',
    fix: 'see docs/sql.md for what is answered',
  },
  unsupportedConstruct: {
    number: 6,
    class: 'user',
    what: '{construct} is not read by the gate, near: {near}',
    why: 'its meaning over several shards is not defined here',
    fix: 'rewrite the statement without it; docs/sql.md lists what is answered',
  },
  tooDeep: {
    number: 7,
    class: 'user',
    what: 'the statement is nested deeper than {limit} levels',
    why: 'each level costs stack, and no client may be able to exhaust it',
    fix: 'write the expression flatter',
  },
  notCreateTable: {
    number: 8,
    class: 'user',
    what: 'the text is not a CREATE TABLE statement as SHOW CREATE TABLE prints it, near: {near}',
    why: 'a table definition is only edited when every part of it was understood',
    fix: 'report the output of SHOW CREATE TABLE for the table',
  },
})

/** At most this much of a statement is quoted in an error. */
const nearBytes = 60

export function near(bytes: Buffer, offset: number): string {
  if (offset >= bytes.length) return 'the end of the statement'
  const text = bytes.toString('utf8', offset, Math.min(bytes.length, offset + nearBytes))
  return '“' + text + (offset + nearBytes < bytes.length ? '…' : '') + '”'
}
