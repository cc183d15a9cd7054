/* SPDX-License-Identifier: MIT
 *
 * One mutex guards all state shared by the two threads.
 */
#include "base/background.h"

#include "base/thread.h"

struct spl_background {
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t work, news;
    void (*run)(void *user); /* NULL: idle */
    void *user;
    bool woken, quit;
};

static void *thread_main(void *argument) {
    spl_background *background = argument;
    pthread_mutex_lock(&background->mutex);
    for (;;) {
        while (!background->quit && !background->run)
            pthread_cond_wait(&background->work, &background->mutex);
        if (background->quit)
            break;
        pthread_mutex_unlock(&background->mutex);
        background->run(background->user);
        pthread_mutex_lock(&background->mutex);
        background->run = NULL;
        pthread_cond_signal(&background->news);
    }
    pthread_mutex_unlock(&background->mutex);
    return NULL;
}

int spl_background_new(spl_background **ret_background, spl_error *ret_error) {
    spl_background *background = calloc(1, sizeof(*background));
    if (!background)
        return spl_fail_memory(ret_error);
    pthread_mutex_init(&background->mutex, NULL);
    pthread_cond_init(&background->work, NULL);
    pthread_cond_init(&background->news, NULL);
    const int status = spl_thread_start(thread_main, background, &background->thread, ret_error);
    background->started = status == 0;
    if (status < 0) {
        spl_background_free(background);
        return status;
    }
    *ret_background = background;
    return 0;
}

void spl_background_free(spl_background *background) {
    if (!background)
        return;
    if (background->started) {
        pthread_mutex_lock(&background->mutex);
        background->quit = true;
        pthread_cond_signal(&background->work);
        pthread_mutex_unlock(&background->mutex);
        pthread_join(background->thread, NULL);
    }
    pthread_cond_destroy(&background->news);
    pthread_cond_destroy(&background->work);
    pthread_mutex_destroy(&background->mutex);
    free(background);
}

void spl_background_start(spl_background *background, void (*run)(void *user), void *user) {
    pthread_mutex_lock(&background->mutex);
    background->run = run;
    background->user = user;
    background->woken = false;
    pthread_cond_signal(&background->work);
    pthread_mutex_unlock(&background->mutex);
}

void spl_background_wake(spl_background *background) {
    pthread_mutex_lock(&background->mutex);
    background->woken = true;
    pthread_cond_signal(&background->news);
    pthread_mutex_unlock(&background->mutex);
}

bool spl_background_wait(spl_background *background) {
    pthread_mutex_lock(&background->mutex);
    while (background->run && !background->woken)
        pthread_cond_wait(&background->news, &background->mutex);
    background->woken = false;
    const bool idle = !background->run;
    pthread_mutex_unlock(&background->mutex);
    return idle;
}
