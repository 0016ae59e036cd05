/**
 * What must be so on the connection that a statement goes to, and what it leaves there that no answer tells.
 *
 * LASTVAL(s) and PREVIOUS VALUE FOR s (MariaDB) tell what the connection drew last of a sequence. It is the session's own only on the connection that the session drew on, and only as long
 * as nobody else had that one in between: elsewhere it would be another session's, or NULL.
 */
import type { RelayEnd } from '../mysql/connection.ts'
import { Kind, tokenKind, type Lexed } from '../sql/lexer.ts'
import type { Backend } from './backend.ts'
import { gateErrors } from './errors.ts'
import type { Relay } from './passthrough.ts'
import type { Words } from './statement-words.ts'

/** The sequence that a call at a token names, as it is written, in lower case; null: there is no such call. */
export function drawnAt(words: Words, at: number): { readonly how: 'draws' | 'asks'; readonly sequence: string } | null {
  const how = ({ NEXTVAL: 'draws', NEXT: 'draws', LASTVAL: 'asks', PREVIOUS: 'asks' } as const)[words.at(at) as 'NEXT']
  if (how === undefined) return null
  const called = words.raw(at + 1) === '('
  const isStandard = words.at(at + 1) === 'VALUE' && words.at(at + 2) === 'FOR'
  if (words.at(at).endsWith('VAL') ? !called : !isStandard) return null
  const from = called ? at + 2 : at + 3
  const name = words.raw(from + 1) === '.' ? `${words.name(from)}.${words.name(from + 2)}` : words.name(from)
  return { how, sequence: name.toLowerCase() }
}

const lastGtid = /^@@(session\.|local\.)?`?last_gtid`?$/i

/** Of MariaDB: the last transaction of the connection. */
export function asksLastGtid(words: Words, lexed: Lexed): boolean {
  for (let i = 0; i < lexed.count; i++) if (tokenKind(lexed, i) === Kind.SystemVariable && lastGtid.test(words.raw(i))) return true
  return false
}

type Marks = Pick<Relay, 'draws' | 'asksDrawn' | 'dropsSchema'>

/** Null: there is nothing to see to. `before`: it is about to be sent on that connection; errors: SW-GATE-012. `after`: its answer, and the connection is marked if it is the session's still. */
export function marking(
  { draws = [], asksDrawn = [], dropsSchema = false }: Partial<Marks>,
  holder: Backend['holder'],
): { readonly before: (backend: Backend) => void; readonly after: (answered: Promise<RelayEnd>) => Promise<void> } | null {
  if (!dropsSchema && draws.length === 0 && asksDrawn.length === 0) return null
  let on: Backend | null = null
  return {
    before(backend) {
      on = backend
      if (dropsSchema) backend.dirty = true
      if (backend.connection.flavour === 'mariadb') requireDrawn(backend, asksDrawn)
    },
    async after(answered) {
      const { kind } = await answered
      if (kind !== 'ok' || draws.length === 0 || on?.holder !== holder) return
      on.drawn ??= new Set()
      for (const sequence of draws) on.drawn.add(sequence)
    },
  }
}

/** Errors: SW-GATE-012 the session has not drawn these on this connection. */
export function requireDrawn({ drawn }: Pick<Backend, 'drawn'>, sequences: readonly string[]): void {
  const missing = sequences.find((sequence) => drawn?.has(sequence) !== true)
  if (missing === undefined) return
  throw gateErrors.notForwarded({
    construct: `the last value of sequence ${missing}`,
    reason: 'a server keeps it for the connection that drew it, and connections are shared: this one would tell what another session drew',
    fix: 'keep the number that NEXTVAL gave, or draw and ask in one transaction, with the sequence written alike',
  })
}

/** What asks for `@@last_gtid` is told. */
export const notTheGtid = {
  kind: 'refuse',
  construct: '@@last_gtid',
  reason: 'it is the last transaction of one connection, and a session has its connections only while it uses them',
  fix: 'ask for @@gtid_current_pos, which is that transaction or behind it',
} as const
