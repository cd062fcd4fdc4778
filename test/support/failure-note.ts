/** Which tests of this file failed so far. */
const failed: string[] = [];

export function noteFailure(name: string): void {
  failed.push(name);
}

export function failures(): readonly string[] {
  return failed;
}
