// The destinations of the development policies. A room's messages go in through /app, as in a Spring application, and
// come out of /topic.

export const MY_ERRORS = '/user/queue/errors';
export const MY_NOTICES = '/user/queue/notices';

export const roomDestination = (room: string): string => `/topic/rooms.${room}`;
export const chatDestination = (room: string): string => `/app/chat/${room}`;
export const typingDestination = (room: string): string => `/topic/typing.${room}`;

export const ROOM_NAME = /^[A-Za-z0-9_-]{1,64}$/;
