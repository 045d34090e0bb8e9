// What the broker says about itself before anyone connects.

export interface Config {
  /** In development mode the broker gives a token to any name. */
  development: boolean;
  /** Where the WebSocket is, as a path or a URL. */
  endpoint: string;
  version: string;
}

export async function fetchConfig(): Promise<Config> {
  const response = await fetch('page/config.json');
  if (!response.ok) throw new Error(`page/config.json answered ${response.status}`);
  return (await response.json()) as Config;
}

export function webSocketUrl(endpoint: string): string {
  const url = new URL(endpoint, location.href);
  url.protocol = url.protocol.replace(/^http/, 'ws');
  return url.href;
}
