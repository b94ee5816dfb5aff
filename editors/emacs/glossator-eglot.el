;;; glossator-eglot.el --- Glossator in eglot -*- lexical-binding: t; -*-

;; eglot runs one server for each buffer.  Either Glossator alone, or, to keep the server that you have, both behind a
;; multiplexer such as rass: (list "rass" "--" "ruff" "server" "--" "glossator").

;;; Code:

(require 'eglot)

(add-to-list 'eglot-server-programs '((python-mode python-ts-mode) . ("glossator")))

;; An edit is checked before it is sent, and it is one undo step: without this each one would ask.
(setq-default eglot-confirm-server-edits nil)

(defun glossator--arguments (&optional instruction)
  "Return what the commands are about: a place, its problems, and INSTRUCTION."
  (let ((beginning (if (use-region-p) (region-beginning) (point)))
        (end (if (use-region-p) (region-end) (point))))
    (vector
     (append
      (list :uri (plist-get (eglot--TextDocumentIdentifier) :uri)
            :range (list :start (eglot--pos-to-lsp-position beginning)
                         :end (eglot--pos-to-lsp-position end))
            :diagnostics (glossator--diagnostics beginning end))
      (and instruction (list :instruction instruction))))))

;; eglot keeps what a server said beside flymake's diagnostic; other backends of flymake have only their words.
(defun glossator--diagnostics (beginning end)
  "Return all diagnostics that touch BEGINNING to END, as LSP has them."
  (vconcat
   (mapcar
    (lambda (diagnostic)
      (or (alist-get 'eglot-lsp-diag (flymake-diagnostic-data diagnostic))
          (append
           (list :range
                 (list :start (eglot--pos-to-lsp-position (flymake-diagnostic-beg diagnostic))
                       :end (eglot--pos-to-lsp-position (flymake-diagnostic-end diagnostic)))
                 :message (flymake-diagnostic-text diagnostic))
           (let ((backend (flymake-diagnostic-backend diagnostic)))
             (and (symbolp backend) (list :source (symbol-name backend)))))))
    (flymake-diagnostics beginning (max end (min (1+ beginning) (point-max)))))))

(defun glossator--run (command &optional instruction)
  "Let the server run COMMAND on this place, perhaps with an INSTRUCTION."
  (eglot--signal-textDocument/didChange)
  (glossator--send command (glossator--arguments instruction)))

;; The server answers at once and works in the background; `eglot-execute' would stop Emacs until it has answered.
(defun glossator--send (command arguments)
  "Let the server run COMMAND with ARGUMENTS, a vector."
  (jsonrpc-async-request
   (eglot--current-server-or-lose) :workspace/executeCommand
   (list :command command :arguments arguments)
   :success-fn #'ignore
   :error-fn (lambda (problem) (message "glossator: %s" (plist-get problem :message)))))

(defun glossator-explain ()
  "Explain the problem under the cursor, or the region."
  (interactive)
  (glossator--run "glossator.explain"))

(defun glossator-fix ()
  "Fix the problem under the cursor, or those in the region."
  (interactive)
  (glossator--run "glossator.fix"))

(defun glossator-refactor (instruction)
  "Change the code of the region or under the cursor as INSTRUCTION says."
  (interactive "sRefactor how? ")
  (glossator--run "glossator.refactor" instruction))

(defun glossator-ask (question)
  "Ask QUESTION about the region or the code under the cursor."
  (interactive "sAsk: ")
  (glossator--run "glossator.ask" question))

(defun glossator-cancel ()
  "End what is at work."
  (interactive)
  (glossator--send "glossator.cancel" []))

(defun glossator-select-provider ()
  "Pick who is asked first in this session."
  (interactive)
  (glossator--send "glossator.selectProvider" []))

(defun glossator-why ()
  "Tell where this file would go, and by which rule; nothing is sent."
  (interactive)
  (glossator--run "glossator.why"))

(defun glossator-privacy ()
  "Show what may leave the machine from this workspace, and change it."
  (interactive)
  (glossator--send "glossator.privacy" []))

(provide 'glossator-eglot)
;;; glossator-eglot.el ends here
