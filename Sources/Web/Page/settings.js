// Kept in this browser only: nothing but how the table is looked at.

export const settings = {
  get(name) { try { return localStorage.getItem(`farseed.${name}`); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(`farseed.${name}`, value); } catch { /* A private window. */ } },
};
