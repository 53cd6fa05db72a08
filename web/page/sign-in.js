// Signing in with a token, if the server asks for one.
import {ask, token, visit} from './api.js';
import {sentence} from './words.js';

/** Make `attempt` work: with what the server or this tab remembers, or with a token that the visitor types. */
export async function signIn(attempt) {
  if (await works(attempt)) return;
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
        token.value = field.value.trim();
        field.value = '';
        dialog.close();
        resolve();
      } catch (error) { wrong.textContent = sentence(error.word === 'sign_in' ? 'token_wrong' : error.word, error.text); }
    });
  });
}

async function works(attempt) {
  try { await attempt(); return true; } catch (error) {
    if (error.word === 'sign_in') return false;
    throw error;
  }
}

/** Sign out: the server forgets the token, and this browser its cookie. */
export async function signOut() {
  token.value = '';
  await ask('api/leave', {method: 'POST'});
}
