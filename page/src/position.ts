// `epoch:sequence`, the place of a message in its destination. Sequences compare within one epoch only.

export interface Position {
  epoch: string;
  sequence: number;
}

export function parsePosition(text: string | undefined): Position | undefined {
  const parts = /^(.+):(\d+)$/.exec(text ?? '');
  return parts ? { epoch: parts[1]!, sequence: Number(parts[2]) } : undefined;
}

export const formatPosition = ({ epoch, sequence }: Position): string => `${epoch}:${sequence}`;

/** Whether `a` was already reached by someone who stands at `b`. */
export function isAtOrBefore(a: Position, b: Position): boolean {
  return a.epoch === b.epoch && a.sequence <= b.sequence;
}
