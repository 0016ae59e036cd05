import type { z } from 'zod'
import type { ServerUrl } from '../api/server-schemas.ts'
import type { CliContext } from './context.ts'
import { cliErrors } from './errors.ts'

/**
 * `mysql://user@host:3306/schema`. The password comes from a file or the environment; in the URL it is refused
 * (SW-CLI-006).
 */
export async function parseServerUrl(
  cli: CliContext,
  argument: string,
  passwordFile: string | undefined,
): Promise<z.input<typeof ServerUrl>> {
  let url: URL
  try {
    url = new URL(argument)
  } catch {
    throw cliErrors.badArgument({ argument, problem: 'is not a URL such as mysql://user@host:3306/schema', command: 'keyspace create' })
  }
  if (url.protocol !== 'mysql:' && url.protocol !== 'mariadb:') {
    throw cliErrors.badArgument({ argument, problem: 'does not begin with mysql:// or mariadb://', command: 'keyspace create' })
  }
  if (url.password !== '') throw cliErrors.passwordOnCommandLine({ argument: argument.replace(`:${url.password}@`, ':…@') })
  if (url.username === '') throw cliErrors.badArgument({ argument, problem: 'names no user', command: 'keyspace create' })
  const password = passwordFile === undefined ? (cli.serverPassword() ?? '') : (await cli.readFile(passwordFile)).replace(/\r?\n$/, '')
  const schema = decodeURIComponent(url.pathname.replace(/^\//, ''))
  return {
    host: url.hostname,
    port: url.port === '' ? 3306 : Number(url.port),
    user: decodeURIComponent(url.username),
    password,
    ...(schema === '' ? {} : { schema }),
  }
}
