// Tokens never enter the log, not even for copying.

const SECRET = '••••';
/** A JWT anywhere: its header is JSON, so it begins with `{"` in base64. */
const JWT = /\beyJ[\w-]+\.[\w-]+\.[\w-]*/g;

export function maskHeader(name: string, value: string): string {
  switch (name.toLowerCase()) {
    case 'authorization':
      return value.replace(/^(\w+ )?.*$/s, `$1${SECRET}`);
    case 'passcode':
      return SECRET;
    default:
      return maskText(value);
  }
}

export function maskText(text: string): string {
  return text.replace(JWT, SECRET);
}
