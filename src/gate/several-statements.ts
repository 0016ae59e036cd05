/** Where one text has several statements (pure), and whether that may be. */
import { isSwError } from '../base/errors.ts'
import type { Guard } from './guard.ts'
import { gateErrors } from './errors.ts'
import { Kind, Lexer, tokenEnd, tokenKind, tokenStart, type Lexed, type LexerMode } from '../sql/lexer.ts'

const routines = new Set(['PROCEDURE', 'FUNCTION', 'TRIGGER', 'EVENT', 'PACKAGE'])
/** MariaDB takes statements of routines by themselves. */
const blocks = new Set(['IF', 'WHILE', 'LOOP', 'REPEAT', 'FOR', 'CASE', 'DECLARE'])
/** DEFINER, SQL SECURITY and the like stand before what is created. */
const wordsBefore = 16

/** The texts; null: it is one statement, whatever stands between its `;` (the body of a routine). */
export function statementsOf(sql: Buffer, mode: LexerMode): Buffer[] | null {
  const lexer = new Lexer()
  const texts: Buffer[] = []
  for (let from = 0; ;) {
    let lexed: Lexed
    try {
      lexed = lexer.lex(sql, from, mode)
    } catch (error) {
      if (!isSwError(error)) throw error
      // The server judges what can't be read.
      texts.push(sql.subarray(from))
      return texts
    }
    const block = isBlock(lexed)
    texts.push(sql.subarray(from, block || lexed.next < 0 ? sql.length : lexed.next))
    if (block || lexed.next < 0) break
    from = lexed.next
  }
  return texts.length < 2 ? null : texts
}

/** Errors: SW-GATE-037. */
export function requireSeveral(texts: readonly Buffer[], asked: boolean, guard: Pick<Guard, 'allowsMultiStatements' | 'user'>): void {
  const near = (texts[1] as Buffer).toString('utf8', 0, 60).trim()
  const refuse = (reason: string, fix: string): never => {
    throw gateErrors.severalStatements({ near, reason, fix: `send statements one by one${fix}` })
  }
  if (!guard.allowsMultiStatements)
    refuse(
      `they are off for user ${guard.user}: what gets into a text unescaped could be a statement of its own`,
      `; or: shardwright user alter ${guard.user} --multi-statements allowed`,
    )
  if (!asked) refuse("the client's library did not ask for them when it connected", "; or set your library's option for it")
  if (texts.some((text) => /^\s*LOAD\s/i.test(text.toString('latin1', 0, 200))))
    refuse('one of them is LOAD DATA, which asks the client for a file', '')
}

/** Whether `;` may stand within it. */
function isBlock(lexed: Lexed): boolean {
  const verb = wordAt(lexed, 0)
  if (verb === 'BEGIN') return wordAt(lexed, 1) === 'NOT'
  if (blocks.has(verb)) return true
  if (lexed.count > 2 && rawAt(lexed, 1) === ':') return true
  if (verb !== 'CREATE' && verb !== 'ALTER') return false
  for (let i = 1; i < Math.min(lexed.count, wordsBefore); i++) if (routines.has(wordAt(lexed, i))) return true
  return false
}

function rawAt(lexed: Lexed, i: number): string {
  return i >= lexed.count ? '' : lexed.bytes.toString('latin1', tokenStart(lexed, i), tokenEnd(lexed, i))
}

function wordAt(lexed: Lexed, i: number): string {
  return i < lexed.count && tokenKind(lexed, i) === Kind.Word ? rawAt(lexed, i).toUpperCase() : ''
}
