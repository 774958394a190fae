// What a program tells the test, and hears from it: one JSON value on each line.
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

export function tell(event: string, value: unknown = null): void {
  console.log(JSON.stringify([event, value]))
}

export async function hear(): Promise<any> {
  const line = await lines.next()
  if (line.done) throw new Error('the test has gone')
  return JSON.parse(line.value)
}

export const [gate, issuer, email, password] = process.argv.slice(2) as [string, string, string, string]
