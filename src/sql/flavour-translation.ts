/**
 * A table's definition for the other flavour. What both say in different words is put into the other's; what only one has is not touched here: it
 * is refused beforehand, by column (move/cross-flavour.ts).
 *
 * MySQL → MariaDB: its executable comments of versions 5.7 to 9.9 are plain comments to MariaDB, so INVISIBLE columns and keys would lose it; a key's
 * INVISIBLE is IGNORED there, a geomcollection is a geometrycollection. MariaDB → MySQL: a default that is an expression needs parentheses; IGNORED is INVISIBLE.
 */
import { Lexer, Kind, tokenEnd, tokenStart } from './lexer.ts'
import { parseQuery } from './select.ts'
import { Reader } from './reader.ts'
import type { TableDefinition, TableElement } from './table-definition.ts'

export type DefinitionFlavour = 'mysql' | 'mariadb'

export function translateDefinition(definition: TableDefinition, from: DefinitionFlavour, to: DefinitionFlavour): TableDefinition {
  if (from === to) return definition
  const translate = to === 'mariadb' ? toMariadb : toMysql
  return { ...definition, elements: definition.elements.map((element) => ({ ...element, text: translate(element) })) }
}

/** What MySQL calls it since 8.0, as a column's type: behind its name. */
const mysqlCollection = /^(`(?:[^`]|``)*` )geomcollection\b/i

function toMariadb(element: TableElement): string {
  const { text } = element
  if (element.kind === 'column')
    return text.replace(/\/\*!80023 INVISIBLE \*\//, 'INVISIBLE').replace(mysqlCollection, '$1geometrycollection')
  if (element.kind === 'key') return text.replace(/\/\*!80000 INVISIBLE \*\//, 'IGNORED')
  return text
}

function toMysql(element: TableElement): string {
  if (element.kind === 'key') return element.text.replace(/ IGNORED$/, ' INVISIBLE')
  return element.kind === 'column' ? defaultInParentheses(element.text) : element.text
}

const plainWords = new Set(['NULL', 'CURRENT_TIMESTAMP', 'TRUE', 'FALSE'])

/** `DEFAULT concat('d',1)` → `DEFAULT (concat('d',1))`; literals, NULL, current_timestamp() and what has parentheses stay. */
function defaultInParentheses(text: string): string {
  const lexed = new Lexer().lex(Buffer.from(text))
  const r = new Reader(lexed, parseQuery)
  for (; !r.atEnd(); r.at++) {
    if (r.takeOperator('(')) {
      r.skipParentheses()
      r.at--
      continue
    }
    if (r.kind() !== Kind.Word || !r.takeWords('DEFAULT')) continue
    const from = r.at
    const isCall = r.kind() === Kind.Word && r.isOperator('(', 1)
    if (!isCall || plainWords.has(r.word())) return text
    r.at += 2
    r.skipParentheses()
    const { bytes } = lexed
    const [start, end] = [tokenStart(lexed, from), tokenEnd(lexed, r.at - 1)]
    return `${bytes.toString('utf8', 0, start)}(${bytes.toString('utf8', start, end)})${bytes.toString('utf8', end)}`
  }
  return text
}
