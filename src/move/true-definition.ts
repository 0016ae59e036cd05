/**
 * SHOW CREATE TABLE and information_schema tell a table in three-byte letters: others (emoji, many Chinese ones) come as `?`, and a target that is made by such a text holds `?` where the source holds
 * the letter, in every row with that ENUM value. Nobody would notice: rows move by a member's number, and a vdiff compares that.
 *
 * What is lost where (*tried*: MariaDB 10.11, MySQL 9.7): members of ENUM and SET on both; literal defaults on MariaDB; on MySQL expressions (generated columns, defaults, CHECK, keys), where
 * each byte of such a letter becomes a `?`. Members and defaults are asked of a temporary table with the same columns, and put back; an expression cannot be asked for: it is refused.
 * So is, on MySQL, an expression that a client in another charset made, with letters beyond ASCII: `_latin1'é'` comes as `_latin1'?'` too, but as its bytes where no charset is asked for.
 * Comments lose them too, as everywhere that the server's text goes.
 */
import type { SwError } from '../base/errors.ts'
import type { Connection, FlavourName } from '../mysql/connection.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import { parseTableDefinition, type ColumnElement } from '../sql/table-definition.ts'
import { moveErrors } from './errors.ts'
import { showCreateTable } from './made-of.ts'

const literal = /'(?:[^'\\]|\\.|'')*'/gs
const members = /^(`(?:[^`]|``)*` (?:enum|set)\()((?:'(?:[^'\\]|\\.|'')*',?)+)(\))/is
const literalDefault = /( DEFAULT )('(?:[^'\\]|\\.|'')*')/is
const comment = / COMMENT '(?:[^'\\]|\\.|'')*'/gis
/** A letter of four bytes in an expression of MySQL's. */
const lostBytes = /\?{4}/
/** In place of bytes that are no UTF-8. */
const unread = '\ufffd'
/** A literal in a charset of its own. */
const foreignLiteral = /_(?!utf8|binary)[a-z0-9]+'(?:[^'\\]|\\.|'')*'/gs
/** Of which servers' own texts (information_schema, SHOW CREATE TABLE) know nothing. */
export const beyondThreeBytes = /[\u{10000}-\u{10ffff}]/u

/** Tables for several targets are made beside each other, told of by one session of the source. */
let probes = 0

/** The text by which a table like it can be made. Errors: SW-MOVE-043 a part of it can not be told; of the server. */
export async function trueDefinition(conn: Connection, schema: string, table: string): Promise<string> {
  const text = await showCreateTable(conn, schema, table)
  // MariaDB prints bytes of a default (x'FFE9') as they are, which is no text.
  const broken = text.includes(unread)
    ? parseTableDefinition(text).elements.find((one) => one.text.replace(comment, '').includes(unread))
    : undefined
  if (broken !== undefined) throw lettersNotTold(table, broken.text)
  if (!text.includes('?')) return text
  const [untold] = untoldExpressions(conn.flavour, [{ name: table, createSql: text }])
  if (untold !== undefined) throw untold
  await refuseForeignLetters(conn, schema, table, text)
  const suspects = parseTableDefinition(text).elements.filter(
    (element): element is ColumnElement => element.kind === 'column' && mayHaveLost(element, conn),
  )
  if (suspects.length === 0) return text
  const probe = quoteQualified(schema, `_sw_letters_${++probes}`)
  const names = suspects.map(({ name }) => quoteIdentifier(name)).join(', ')
  await conn.query(`CREATE TEMPORARY TABLE ${probe} AS SELECT ${names} FROM ${quoteQualified(schema, table)} LIMIT 0`)
  try {
    let told = text
    for (const element of suspects) {
      const own = await withTrueLetters(conn, probe, element)
      told = told.replace(`\n  ${element.text}`, () => `\n  ${own}`)
    }
    return told
  } finally {
    await conn.query(`DROP TEMPORARY TABLE IF EXISTS ${probe}`).catch(() => {})
  }
}

async function refuseForeignLetters(conn: Connection, schema: string, table: string, text: string): Promise<void> {
  const isSuspect = (definition: string): boolean =>
    (definition.replace(comment, '').match(foreignLiteral) ?? []).some((found) => found.includes('?'))
  if (conn.flavour !== 'mysql' || !isSuspect(text)) return
  // At once: others may use the session too.
  const [, shown] = await conn.pipeline([
    'SET character_set_results=NULL',
    `SHOW CREATE TABLE ${quoteQualified(schema, table)}`,
    'SET character_set_results=utf8mb4',
  ])
  const bytes = shown?.kind === 'rows' ? (shown.rows[0]?.[1]?.toString('latin1') ?? '') : ''
  const found = bytes.replace(comment, '').match(foreignLiteral) ?? []
  if (!found.some((one) => /[\x80-\xff]/.test(one))) return
  const element = parseTableDefinition(text).elements.find((one) => isSuspect(one.text))?.text ?? ''
  throw lettersNotTold(table, element)
}

function lettersNotTold(table: string, element: string): SwError {
  return moveErrors.lettersNotTold({ table, element: element.trim().slice(0, 120) })
}

function mayHaveLost({ generated, text }: ColumnElement, { flavour }: Connection): boolean {
  if (generated !== null) return false
  return (
    members.exec(text)?.[2]?.includes('?') === true || (flavour === 'mariadb' && literalDefault.exec(text)?.[2]?.includes('?') === true)
  )
}

/** Of each column's type and default only: they stand before what else is said of it. */
async function withTrueLetters(conn: Connection, probe: string, { name, text }: ColumnElement): Promise<string> {
  const column = quoteIdentifier(name)
  const ask = async (value: string): Promise<string> => {
    await conn.query(`DELETE FROM ${probe}`)
    // The others have no default, maybe.
    await conn.query(`INSERT IGNORE INTO ${probe} (${column}) VALUES (${value})`)
    const hex = await conn.value(`SELECT HEX(CONVERT(${column} USING utf8mb4)) FROM ${probe}`)
    return Buffer.from(hex ?? '', 'hex').toString('utf8')
  }
  let own = text
  const [, head, list, tail] = members.exec(text) ?? []
  if (list?.includes('?') === true) {
    const isSet = / set\($/i.test(head ?? '')
    const shown = list.match(literal) ?? []
    const asked: string[] = []
    for (const [i, member] of shown.entries()) {
      const value = member.includes('?') ? await ask(String(isSet ? 1n << BigInt(i) : i + 1)) : null
      asked.push(value !== null && beyondThreeBytes.test(value) ? quoteString(value) : member)
    }
    own = own.replace(members, () => `${head}${asked.join(',')}${tail}`)
  }
  const from = own.length - text.length + (head ?? '').length + (list ?? '').length
  const [, word, shown] = literalDefault.exec(own.slice(from)) ?? []
  if (shown?.includes('?') !== true) return own
  const value = await ask('DEFAULT')
  return beyondThreeBytes.test(value)
    ? own.slice(0, from) + own.slice(from).replace(literalDefault, () => `${word}${quoteString(value)}`)
    : own
}

/** Tables that can not be made elsewhere as they are. */
export function untoldExpressions(
  flavour: FlavourName,
  tables: readonly { readonly name: string; readonly createSql: string }[],
): SwError[] {
  const suspects = flavour === 'mysql' ? tables.filter(({ createSql }) => lostBytes.test(createSql)) : []
  return suspects.flatMap(({ name, createSql }) =>
    parseTableDefinition(createSql).elements.flatMap(({ text }) => {
      const said = text.replace(comment, '').replace(members, '$1$3').replace(literalDefault, '$1')
      return lostBytes.test(said) ? [lettersNotTold(name, said)] : []
    }),
  )
}
