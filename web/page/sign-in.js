// Signing in with a token, if the server asks for one. The token stays in this tab.
import {ApiError, visit} from './api.js';
import {sentence} from './words.js';

const KEY = 'token';

/** Make `attempt` work: with no token, with that of this tab, or with one that the visitor types. */
export async function signIn(attempt) {
  if (await works(attempt)) return;
  const stored = sessionStorage.getItem(KEY);
  if (stored && await accepted(stored)) return;
  const dialog = document.getElementById('sign-in'), field = document.getElementById('token');
  const wrong = document.getElementById('sign-in-wrong');
  dialog.addEventListener('cancel', event => event.preventDefault());
  dialog.showModal();
  await new Promise(resolve => {
    dialog.querySelector('form').addEventListener('submit', async event => {
      event.preventDefault();
      wrong.textContent = '';
      try {
        await visit(field.value.trim());
        sessionStorage.setItem(KEY, field.value.trim());
        field.value = '';
        dialog.close();
        resolve();
      } catch (error) { wrong.textContent = sentence(error.word === 'sign_in' ? 'token_wrong' : error.word, error.text); }
    });
  });
}

/** Sign in again with this tab's token, after the server forgot it. Rejects with an ApiError. */
export async function signInAgain() {
  const stored = sessionStorage.getItem(KEY);
  if (!stored) throw new ApiError('sign_in', 'there is no token');
  await visit(stored);
}

async function works(attempt) {
  try { await attempt(); return true; } catch (error) {
    if (error.word === 'sign_in') return false;
    throw error;
  }
}

async function accepted(token) {
  try { await visit(token); return true; } catch { return false; }
}
