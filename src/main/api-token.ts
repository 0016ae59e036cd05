import { readFileSync } from 'node:fs'
import { isLoopback } from '../control/access.ts'
import { mainErrors } from './errors.ts'

/**
 * The token of the control API: SHARDWRIGHT_TOKEN, else the first line of `file`, which then stands for it in this process and
 * its children. SW-MAIN-005 when the API would listen beyond this machine without one, SW-MAIN-006 when it can't be one.
 */
export function apiToken(host: string, file?: string): string | undefined {
  if (file !== undefined) process.env['SHARDWRIGHT_TOKEN'] = readFileSync(file, 'utf8').split('\n', 1)[0]?.trim() ?? ''
  const token = process.env['SHARDWRIGHT_TOKEN']
  if (token === undefined || (token === '' && file === undefined)) {
    if (!isLoopback(host)) throw mainErrors.openToNetwork({ host })
    return undefined
  }
  if (!/^[\w.~+/=-]{16,}$/.test(token)) throw mainErrors.badToken({ from: file ?? 'SHARDWRIGHT_TOKEN', length: token.length })
  return token
}
